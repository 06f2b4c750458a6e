-- Codes of asks that cannot be decided here: a stale view of agent or organisation (2), a window that is over (3),
-- an id whose clock is more than a day off (6); 0 for the others.
CREATE FUNCTION ledger_doubts(
    p_at timestamptz, p_seat integer[], p_overs boolean[], p_group_places integer[], p_group_starts integer[],
    p_group_organizations uuid[], p_group_agents uuid[], p_group_organization_versions bigint[],
    p_group_agent_versions bigint[], p_ids uuid[], p_groups integer[])
    RETURNS smallint[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    doubts smallint[];
    first_id uuid := uuid7_floor(p_at - interval '1 day');
    last_id uuid := uuid7_floor(p_at + interval '1 day');
BEGIN
    doubts := ARRAY(
        SELECT CASE
            WHEN a.id IS NULL THEN 2
            WHEN EXISTS (SELECT 1 FROM unnest(p_group_places[p_group_starts[g.n]:p_group_starts[g.n + 1] - 1]) AS p
                         WHERE coalesce(p_overs[p_seat[p]], true)) THEN 3
            ELSE 0 END::smallint
        FROM unnest(p_group_organizations, p_group_agents, p_group_organization_versions, p_group_agent_versions)
             WITH ORDINALITY AS g(organization, agent, organization_version, agent_version, n)
        LEFT JOIN (agent a JOIN organization o ON o.id = a.organization_id)
            ON a.id = g.agent AND o.id = g.organization AND a.policy_version = g.agent_version
            AND o.policy_version = g.organization_version AND a.paused_at IS NULL AND a.archived_at IS NULL
            AND o.suspended_at IS NULL
        ORDER BY g.n);
    RETURN ARRAY(
        SELECT CASE WHEN i.id < first_id OR i.id >= last_id THEN 6::smallint ELSE doubts[i.grp] END
        FROM unnest(p_ids, p_groups) WITH ORDINALITY AS i(id, grp, n) ORDER BY i.n);
END $$;
