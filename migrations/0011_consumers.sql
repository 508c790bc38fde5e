-- The cursors of the stream's consumers name the event that they stand behind, as the checkpoints of
-- the journal's followers do since 0010: the stream may be filled anew with another history. The id
-- counts only while `event_position` still is the position, for builds of before move that alone.
alter table consumer_positions
  add column event_position bigint,
  add column event_id       uuid;
