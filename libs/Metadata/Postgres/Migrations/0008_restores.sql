-- Restores of archived versions (docs/TIERS.md) are wishes, which have a table. Older programs can't read such a version, and would end its wish: the level of this script is what they need.
UPDATE format SET readable_from = 1;
