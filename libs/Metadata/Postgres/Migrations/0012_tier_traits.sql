-- Tiers have a latency and a cost multiplier, which are in a grain's state: older programs would lose them when they write it, so the level of this script is what they need. They go on reading all the same.
UPDATE format SET readable_from = 1;

-- What fold_usage looks for, which is most of the time nothing.
CREATE INDEX usage_unfolded ON usage (month, bucket) WHERE writer >= 0;
