"""Pretrained generators and the fakes they make."""
