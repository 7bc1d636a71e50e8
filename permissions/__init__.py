"""What a state may do: pledge grammar, pledge sets, path matching, decisions. Imports nothing of luspool's."""
