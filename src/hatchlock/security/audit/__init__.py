"""What `audit` looks at: checks over facts. Pure; `usecases.audit` gathers the facts."""
