"""What fits read: sparse tensors, files, arrays of other libraries."""
