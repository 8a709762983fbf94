"""Every user becomes an owner of the account they are in, also those that the version before still makes until all of
its processes are replaced: it writes the account beside the user, and the trigger makes the membership of it. Today's
code never writes that column. The trigger goes together with it."""

from typing import ClassVar

from django.db import migrations

FILL = """
CREATE FUNCTION membership_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO accounts_membership (account_id, user_id, role, created_at)
    VALUES (NEW.account_id, NEW.id, 'owner', NEW.created_at) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER membership_of_user AFTER INSERT ON accounts_user
FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION membership_of_user();
INSERT INTO accounts_membership (account_id, user_id, role, created_at)
SELECT account_id, id, 'owner', created_at FROM accounts_user WHERE account_id IS NOT NULL ORDER BY id
ON CONFLICT DO NOTHING;
"""
EMPTY = """
DROP TRIGGER membership_of_user ON accounts_user;
DROP FUNCTION membership_of_user();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0006_memberships")]
    operations: ClassVar = [migrations.RunSQL(FILL, EMPTY)]
