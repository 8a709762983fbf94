import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ('accounts', '0004_limits_of_accounts'),
        ('engine', '0010_reasons_are_codes'),
        ('subscribers', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.TextField()),
                ('email_address', models.TextField()),
                ('from_address', models.TextField()),
                ('subject', models.TextField()),
                ('message', models.BinaryField(default=b'')),
                ('asked_at', models.DateTimeField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('subscriber', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.subscriber')),
            ],
        ),
    ]
