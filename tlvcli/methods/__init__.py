"""Published ideas, one file each: tensors and graphs in, values out."""
