def test_trials_of_a_sweep_are_no_variants(specs: Path) -> None:
    add_run(specs, 1, "base", [0.8], study="plain")
    add_run(specs, 2, "plain-hyperband-0000", [0.9], study="plain", seed=0, group=2)
    assert list(refreshed(specs, "plain")) == ["base"]
