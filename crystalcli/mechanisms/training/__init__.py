"""What only training needs: optimisers, schedules, averages of weights, checkpoints, transfer."""
