"""What the three services have in common; it imports none of them."""
