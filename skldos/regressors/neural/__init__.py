"""Networks as regressors of the rows of blocks: training, prediction, storage."""
