import plugin

plugin.migrate("forum")
