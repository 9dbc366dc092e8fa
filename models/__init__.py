"""From a latent to a picture."""
