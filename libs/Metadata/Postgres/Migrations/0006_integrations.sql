-- Integrations (docs/CONNECTORS.md) are grain states, which need no table. Older programs would not seal their credentials anew when the cluster's secret changes, and would take other work to their
-- places later: the level of this script is what they need.
UPDATE format SET readable_from = 1;
