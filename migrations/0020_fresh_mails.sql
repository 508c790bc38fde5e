-- Mails that nobody has tried yet go before those that are tried again: a thousand full mailboxes that are due at
-- once must not stand before a customer whose mailbox is not.
create index mails_fresh on mails (lease_until) where state = 'waiting' and attempts = 0;
