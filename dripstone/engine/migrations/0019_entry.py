"""When each place was entered, in a table with an index, which the table of places cannot have: engine/models.py."""

import django.db.models.deletion
from django.db import migrations, models

# No statement on the way of an email names entered_at, so none of them runs the second trigger.
_KEEP = """
CREATE FUNCTION engine_keep_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO engine_entry (enrollment_id, sequence_id, entered_at)
    SELECT id, sequence_id, entered_at FROM changed
    ON CONFLICT (enrollment_id) DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER entered AFTER INSERT ON engine_enrollment REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_keep_entries();
CREATE FUNCTION engine_keep_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO engine_entry (enrollment_id, sequence_id, entered_at)
    VALUES (NEW.id, NEW.sequence_id, NEW.entered_at)
    ON CONFLICT (enrollment_id) DO UPDATE SET entered_at = EXCLUDED.entered_at;
    RETURN NULL;
END $$;
CREATE TRIGGER entered_again AFTER UPDATE OF entered_at ON engine_enrollment
    FOR EACH ROW WHEN (OLD.entered_at IS DISTINCT FROM NEW.entered_at) EXECUTE FUNCTION engine_keep_entry();
CREATE FUNCTION engine_delete_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM engine_entry e USING changed WHERE e.enrollment_id = changed.id;
    RETURN NULL;
END $$;
CREATE TRIGGER deleted AFTER DELETE ON engine_enrollment REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION engine_delete_entries();
"""


_FUNCTIONS = ("engine_keep_entries", "engine_keep_entry", "engine_delete_entries")


class Migration(migrations.Migration):
    dependencies = [
        ("engine", "0018_count_what_is_there"),
        ("sequences", "0005_when_published"),
    ]

    operations = [
        migrations.CreateModel(
            name="Entry",
            fields=[
                (
                    "enrollment",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="entry",
                        serialize=False,
                        to="engine.enrollment",
                    ),
                ),
                ("entered_at", models.DateTimeField()),
                (
                    "sequence",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="sequences.sequence",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "entries",
                "indexes": [
                    models.Index(
                        models.F("sequence"), models.F("entered_at"), models.F("enrollment"), name="entry_by_time"
                    )
                ],
            },
        ),
        migrations.RunSQL(_KEEP, "".join(f"DROP FUNCTION {function}() CASCADE;" for function in _FUNCTIONS)),
    ]
