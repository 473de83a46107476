from microblog import db
from microblog.types import EmailType, IPAddressType, JSONText


class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    username = db.Column(db.String(80), index=True, unique=True, nullable=False)
    email = db.Column(EmailType(120), index=True, unique=True, nullable=False)
    about_me = db.Column(db.String(140))


class Post(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    body = db.Column(db.String(140))
    extra = db.Column(JSONText())
    written_from = db.Column(IPAddressType())
    user_id = db.Column(db.Integer, db.ForeignKey("user.id"))
