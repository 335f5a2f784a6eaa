"""Data: where images and pairs come from, and the pipeline that feeds a stage without hidden state."""
