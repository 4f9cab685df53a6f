"""Several architectures on the same folds: every structure is tested once, by models that have never seen it."""
