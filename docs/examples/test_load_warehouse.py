from load_warehouse import dag


def test_a_good_backup_lets_the_load_start(avepoint, run_dag):
    avepoint.add_job("dynamics365", organization_id="contoso", state="success", started_ago=3600)

    assert run_dag(dag) == {"backup": "success", "load": "success"}


def test_a_failed_backup_keeps_the_load_shut(avepoint, run_dag):
    avepoint.add_job("dynamics365", organization_id="contoso", state="failed", started_ago=3600)

    assert run_dag(dag) == {"backup": "failed", "load": "upstream_failed"}
