from hybridmpi.experiments.names import cell_name, field_name


def test_cells_are_named_in_words() -> None:
    cell = (("data.batch_size", 32), ("delays.max_s", 0.5), ("method.preset", "hybrid"))
    assert cell_name(cell) == "batch size 32, delays max 0.5 s, preset hybrid"
    assert field_name("delays.max_s") == "delays max (s)"
