"""Who runs when and where: hosts, executor threads, run queues, mailboxes, supervision. Knows nothing of Lua."""
