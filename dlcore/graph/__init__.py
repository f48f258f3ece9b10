"""From ops to a Program: fuse, add gradients, plan memory and stages, bind."""
