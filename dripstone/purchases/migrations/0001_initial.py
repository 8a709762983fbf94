from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def owned(to: str, name: str, on_delete: Any = django.db.models.deletion.CASCADE) -> Any:
    return models.ForeignKey(db_index=False, on_delete=on_delete, related_name=name, to=to)


def amount() -> Any:
    return models.DecimalField(decimal_places=4, max_digits=15)


def key() -> Any:
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0012_keys_with_full_access"),
        ("subscribers", "0012_words_of_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", key()),
                ("pid", models.TextField()),
                ("name", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("account", owned("accounts.account", "products")),
            ],
            options={
                "indexes": [models.Index("account", "id", name="products_of_account")],
                "constraints": [models.UniqueConstraint("account", "pid", name="product_of_account")],
            },
        ),
        migrations.CreateModel(
            name="Purchase",
            fields=[
                ("id", key()),
                ("transaction_id", models.TextField()),
                ("status", models.TextField()),
                ("is_paid", models.BooleanField()),
                ("source", models.TextField()),
                ("currency", models.CharField(max_length=3)),
                ("transaction_time", models.DateTimeField()),
                ("subtotal", amount()),
                ("tax", amount()),
                ("shipping", amount()),
                ("discount", amount()),
                ("total", amount()),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("account", owned("accounts.account", "purchases")),
                ("subscriber", owned("subscribers.subscriber", "purchases")),
            ],
            options={
                "indexes": [
                    models.Index("account", "id", name="purchases_of_account"),
                    models.Index("subscriber", "id", name="purchases_of_subscriber"),
                ],
                "constraints": [
                    models.UniqueConstraint("account", "transaction_id", name="purchase_of_account"),
                ],
            },
        ),
        migrations.CreateModel(
            name="LineItem",
            fields=[
                ("id", key()),
                ("lid", models.TextField()),
                ("name", models.TextField()),
                ("sku", models.TextField(null=True)),
                ("quantity", models.PositiveIntegerField()),
                ("unit_price", amount()),
                ("product", owned("purchases.product", "lines", django.db.models.deletion.PROTECT)),
                ("purchase", owned("purchases.purchase", "lines")),
            ],
            options={
                "indexes": [models.Index("product", "purchase", name="lines_of_product")],
                "constraints": [models.UniqueConstraint("purchase", "lid", name="line_of_purchase")],
            },
        ),
    ]
