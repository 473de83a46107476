import os


def database_url() -> str:
    return os.environ["LETTERS_DATABASE_URL"]
