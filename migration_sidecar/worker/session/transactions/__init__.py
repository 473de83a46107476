"""Where transactions begin and end, as env.py has them. Not what is written in them: that is `revision_rows`."""
