from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("sequences", "0010_drafts_of_emails"),
    ]

    operations = [
        migrations.AddField(
            model_name='sequenceemail',
            name='held_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='sequenceemail',
            name='held_by',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='sequenceemail',
            name='released_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='sequenceedit',
            name='kind',
            field=models.TextField(blank=True, choices=[('email_created', 'Email Created'), ('email_updated', 'Email Updated'), ('email_deleted', 'Email Deleted'), ('email_retimed', 'Email Retimed'), ('sequence_updated', 'Sequence Updated'), ('sequence_deleted', 'Sequence Deleted'), ('sequence_retimed', 'Sequence Retimed'), ('rescheduled', 'Rescheduled'), ('wait_skipped', 'Wait Skipped')], db_default='', default=''),
        ),
    ]
