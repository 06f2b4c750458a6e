-- Whether all asks come from agents and organisations as they are now, and with ids of these days.
CREATE FUNCTION ledger_is_current(
    p_at timestamptz, p_group_organizations uuid[], p_group_agents uuid[], p_group_organization_versions bigint[],
    p_group_agent_versions bigint[], p_ids uuid[]) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    is_current boolean;
    first_id uuid := uuid7_floor(p_at - interval '1 day');
    last_id uuid := uuid7_floor(p_at + interval '1 day');
BEGIN
    SELECT bool_and(a.id IS NOT NULL) INTO is_current
    FROM unnest(p_group_organizations, p_group_agents, p_group_organization_versions, p_group_agent_versions)
         AS g(organization, agent, organization_version, agent_version)
    LEFT JOIN (agent a JOIN organization o ON o.id = a.organization_id)
        ON a.id = g.agent AND o.id = g.organization AND a.policy_version = g.agent_version
        AND o.policy_version = g.organization_version AND a.paused_at IS NULL AND a.archived_at IS NULL
        AND o.suspended_at IS NULL;
    RETURN is_current AND NOT EXISTS (SELECT 1 FROM unnest(p_ids) AS i WHERE i < first_id OR i >= last_id);
END $$;
