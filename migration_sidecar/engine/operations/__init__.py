"""Operations: accepted, driven, watched, tried again, and judged by what the database says.

What would be done is in `planning`.
"""
