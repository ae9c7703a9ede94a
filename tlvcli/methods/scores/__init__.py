"""What a pretrained network is worth for labelled data, estimated without training."""
