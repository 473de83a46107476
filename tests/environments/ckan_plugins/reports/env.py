import plugin

plugin.migrate("reports")
