FLASK_APP=microblog:create_app("production")
