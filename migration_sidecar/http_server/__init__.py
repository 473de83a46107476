"""What every HTTP server of this project uses. Nothing here depends on migrations."""
