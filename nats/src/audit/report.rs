//! What an audit found.

use domain::Position;
use std::fmt;
use uuid::Uuid;

/// How many differences are listed; all are counted. The first ones tell what happened.
pub const MAX_DIFFERENCES: usize = 20;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The journal's first position; 0 while it is empty.
    pub journal_first: Position,
    /// The journal's last position as it was told; 0 while it is empty.
    pub journal_head: Position,
    /// The stream's last sequence; none when there is no stream.
    pub stream_last: Option<Position>,
    /// Messages that were compared with their event.
    pub compared: u64,
    /// Messages that stand for an event that was too large; no difference.
    pub stubs: u64,
    /// Messages that an older build published, with members which are not public any more; no difference.
    pub former: u64,
    /// Messages from before the journal's first event, which nothing can be compared with; no
    /// difference.
    pub older: u64,
    /// Messages that are not there although later ones are.
    pub missing: u64,
    /// Messages that hold the right event in another form.
    pub damaged: u64,
    /// Messages of events that the journal does not have, at least not there.
    pub foreign: u64,
    /// The first differences in order of position, at most [`MAX_DIFFERENCES`]; neighbours of one
    /// kind are one where a range can tell it.
    pub differences: Vec<Difference>,
    wrong_epoch: bool,
}

/// How the stream differs from the journal. Positions are inclusive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// The journal has events, and there is no stream.
    #[error("there is no stream")]
    NoStream,
    /// The stream was made for a journal with another epoch.
    #[error("the stream belongs to journal {stream_epoch}, this one is {journal_epoch}")]
    OtherEpoch {
        /// The journal's.
        journal_epoch: Uuid,
        /// The stream's, as its metadata says.
        stream_epoch: String,
    },
    /// The stream begins later than the journal.
    #[error("the messages {from} to {to} are missing in front")]
    MissingFront {
        /// The first that is missing.
        from: Position,
        /// The last that is missing.
        to: Position,
    },
    /// Messages are missing although later ones are there, or were.
    #[error("the messages {from} to {to} are missing")]
    Hole {
        /// The first that is missing.
        from: Position,
        /// The last that is missing.
        to: Position,
    },
    /// The same position holds another event.
    #[error("message {position} is {stream_event:?}, the journal's event there is {journal_event}")]
    OtherEvent {
        /// Where.
        position: Position,
        /// The journal's event there.
        journal_event: Uuid,
        /// What the message calls itself, if it says.
        stream_event: Option<Uuid>,
    },
    /// The stream holds, or held, what the journal does not have.
    #[error("the journal has no events {from} to {to}, the stream has")]
    NotInJournal {
        /// The first.
        from: Position,
        /// The last.
        to: Position,
    },
    /// The right event, in another form than it is published in.
    #[error("message {position} differs in its {part}")]
    OtherContent {
        /// Where.
        position: Position,
        /// In what.
        part: Part,
    },
}

/// A part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The subject.
    Subject,
    /// The headers.
    Headers,
    /// The body.
    Body,
}

/// What makes the stream a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is one, or becomes one by being published to.
    Nothing,
    /// The stream is deleted and published anew.
    Refill,
    /// The stream tells another history: the journal gets a new epoch, and then as above.
    NewEpoch,
}

impl Report {
    pub(super) fn new(journal_first: Position, journal_head: Position) -> Self {
        Self {
            journal_first,
            journal_head,
            stream_last: None,
            compared: 0,
            stubs: 0,
            former: 0,
            older: 0,
            missing: 0,
            damaged: 0,
            foreign: 0,
            differences: Vec::new(),
            wrong_epoch: false,
        }
    }

    /// Whether everything in the stream is as in the journal, from the journal's first event on.
    #[must_use]
    pub fn is_copy(&self) -> bool {
        self.differences.is_empty()
    }

    /// How many events are not published yet.
    #[must_use]
    pub fn lag(&self) -> u64 {
        let before = self.journal_first.previous();
        self.stream_last.unwrap_or_default().max(before).lag(self.journal_head)
    }

    /// What makes the stream a copy, in the form of today.
    ///
    /// A stream of another epoch needs no further one. So a repair that was cut off after it began
    /// a new epoch is gone on with, and not begun again.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        if self.is_copy() && self.former == 0 {
            Remedy::Nothing
        } else if self.foreign > 0 && !self.wrong_epoch {
            Remedy::NewEpoch
        } else {
            Remedy::Refill
        }
    }

    /// The messages `from` to `to` are not there; does nothing when that is none.
    pub(super) fn missing(&mut self, from: Position, to: Position) {
        if from > to {
            return;
        }
        let in_front = from == self.journal_first.max(Position::FIRST);
        self.add(match in_front {
            true => Difference::MissingFront { from, to },
            false => Difference::Hole { from, to },
        });
    }

    pub(super) fn add(&mut self, difference: Difference) {
        match &difference {
            Difference::NoStream => {}
            Difference::OtherEpoch { .. } => self.wrong_epoch = true,
            Difference::MissingFront { from, to } | Difference::Hole { from, to } => {
                self.missing += from.previous().lag(*to);
            }
            Difference::OtherEvent { .. } => self.foreign += 1,
            Difference::NotInJournal { from, to } => {
                self.foreign += from.previous().lag(*to);
                if let Some(Difference::NotInJournal { to: end, .. }) = self.differences.last_mut()
                    && end.next() == *from
                {
                    *end = *to;
                    return;
                }
            }
            Difference::OtherContent { .. } => self.damaged += 1,
        }
        if self.differences.len() < MAX_DIFFERENCES {
            self.differences.push(difference);
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Headers => "headers",
            Self::Body => "body",
        })
    }
}

impl fmt::Display for Report {
    /// Some lines, without a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { journal_first, journal_head, compared, stubs, older, .. } = self;
        writeln!(f, "the journal holds the events {journal_first} to {journal_head}")?;
        match self.stream_last {
            Some(last) => writeln!(f, "the stream ends at {last}, {} events behind", self.lag())?,
            None => writeln!(f, "there is no stream")?,
        }
        writeln!(f, "compared {compared} messages, {stubs} of them stubs of large events")?;
        if *older > 0 {
            writeln!(f, "{older} messages are older than the journal's first event")?;
        }
        if self.former > 0 {
            let former = self.former;
            writeln!(
                f,
                "{former} messages hold what is not public any more; a repair publishes them without it"
            )?;
        }
        for difference in &self.differences {
            writeln!(f, "  {difference}")?;
        }
        if self.differences.len() == MAX_DIFFERENCES {
            writeln!(f, "  and perhaps more; these are the first {MAX_DIFFERENCES}")?;
        }
        let Self { missing, damaged, foreign, .. } = self;
        match self.is_copy() {
            true => write!(f, "the stream is a copy of the journal"),
            false => write!(
                f,
                "the stream is NOT a copy of the journal: {missing} missing, {damaged} damaged, \
                 {foreign} of another history"
            ),
        }
    }
}
