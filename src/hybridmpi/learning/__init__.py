"""What is learned: models, data sets, shards, flat parameters, optimizers, evaluation."""
