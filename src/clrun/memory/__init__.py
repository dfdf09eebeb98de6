"""What is kept of past experiences: tables of rows, quotas, policies, selections, latents."""
