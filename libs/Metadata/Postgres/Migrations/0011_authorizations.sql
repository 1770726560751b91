-- Integrations that are authorized by OAuth (docs/CONNECTORS.md) are grain states, which need no table. Older programs can't open such a place, have no grain that renews its tokens, and would not seal
-- these anew: the level of this script is what they need.
UPDATE format SET readable_from = 1;
