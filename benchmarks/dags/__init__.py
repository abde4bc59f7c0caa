"""DAGs that are run to be measured."""
