-- An e-mail address is one with its twins by composition and by the ASCII form of its domain. Claims that were made
-- before have neither; a process that starts gives each of them a second tag in the form of today (`fold_claims` in
-- commands/src/registration/claims.rs), and finds them by this index: nothing beyond ASCII is claimed any more, so it
-- stays as small as it is. The claims themselves stay for processes of the build before. When none of those runs any
-- more, and no tag is left that only they look for, index and claims beyond ASCII can go.
create index event_tags_beyond_ascii on event_tags (tag, position) where octet_length(tag) > length(tag);
