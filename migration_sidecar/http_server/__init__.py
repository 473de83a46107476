"""What every HTTP server of ours needs, whatever its routes are. Nothing here knows of migrations."""
