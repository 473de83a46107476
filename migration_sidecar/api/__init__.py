"""The HTTP endpoint of a service: routes, problems, logging. What a request does is in `engine`."""
