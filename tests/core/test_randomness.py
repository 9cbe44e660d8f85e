from hybridmpi.core.randomness import generator, torch_seed


def test_the_same_key_draws_the_same_numbers():
    assert (
        generator(3, "batches", 2, 5).random(4) == generator(3, "batches", 2, 5).random(4)
    ).all()


def test_every_part_of_the_key_matters():
    keys = [
        (0, "batches", 1, 0),
        (1, "batches", 1, 0),
        (0, "delays", 1, 0),
        (0, "batches", 2, 0),
        (0, "batches", 1, 1),
    ]
    draws = {float(generator(*key).random()) for key in keys}
    seeds = {torch_seed(*key) for key in keys}
    assert len(draws) == len(seeds) == len(keys)


def test_torch_seeds_fit_torch():
    assert all(0 <= torch_seed(seed, "dropout", 1, 2) < 2**63 for seed in range(100))
