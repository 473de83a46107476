"""The HTTP endpoint of a service: routes, error pages, logging. What a request does is in `engine`."""
