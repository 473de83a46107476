"""placeholder"""


def show_that_each_is_found(folder, seed, jobs): ...
