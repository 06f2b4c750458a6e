-- Whether a call counts against a budget's balance of one subject. p_name: the budget's scope_name, or where that is
-- empty the balance's subject. Who names no session or user counts as '-'. agents.subjects says the same for asks.
CREATE FUNCTION ledger_concerns(p_scope text, p_agent uuid, p_name text, p_call_agent uuid, p_session text, p_user text,
                                p_model text, p_sub_agent text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT (p_agent IS NULL OR p_agent = p_call_agent) AND CASE p_scope
        WHEN 'session' THEN coalesce(nullif(p_session, ''), '-') = p_name
        WHEN 'user' THEN coalesce(nullif(p_user, ''), '-') = p_name
        WHEN 'agent_user' THEN coalesce(nullif(p_user, ''), '-') = p_name
        WHEN 'model' THEN coalesce(p_model, '') = p_name
        WHEN 'sub_agent' THEN coalesce(p_sub_agent, '') = p_name
        ELSE true END
$$;
