-- Whether all asks come from agents and organisations as they are now, and with ids of these days.
CREATE FUNCTION ledger_is_current(
    p_at timestamptz, p_group_organizations uuid[], p_group_agents uuid[], p_group_organization_versions bigint[],
    p_group_agent_versions bigint[], p_ids uuid[]) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF uuid7_floor(p_at - interval '1 day') > ANY (p_ids) OR uuid7_floor(p_at + interval '1 day') <= ANY (p_ids) THEN
        RETURN false;
    END IF;
    RETURN cardinality(p_group_agents) = (
        SELECT count(*)
        FROM unnest(p_group_organizations, p_group_agents, p_group_organization_versions, p_group_agent_versions)
             AS g(organization, agent, organization_version, agent_version)
        JOIN agent a ON a.id = g.agent AND a.policy_version = g.agent_version
            AND a.paused_at IS NULL AND a.archived_at IS NULL
        JOIN organization o ON o.id = a.organization_id AND o.id = g.organization
            AND o.policy_version = g.organization_version AND o.suspended_at IS NULL);
END $$;
