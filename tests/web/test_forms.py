"""Fields of forms on pages: what was typed stays, problems stand beside them."""

from django.http import QueryDict
from django.template import Context, Template
from django.test import RequestFactory

from dripstone.errors import Invalid
from dripstone.given import Checked, FromText
from dripstone.web import forms


def rendered(form: forms.Form, tag: str) -> str:
    context = Context({"form": form, "days": [(0, "Mon"), (1, "Tue")]})
    return Template("{% load dripstone_forms %}" + tag).render(context)


def posted(body: str, *lists: str) -> FromText:
    request = RequestFactory().post("/", body, content_type="application/x-www-form-urlencoded")
    assert isinstance(request.POST, QueryDict)
    return forms.given(request, lists)


def test_a_checkbox_says_no_when_it_is_not_ticked() -> None:
    assert posted("hold=false") == {"hold": "false"}
    assert posted("hold=false&hold=on") == {"hold": "on"}


def test_checkboxes_say_none_when_none_is_ticked() -> None:
    assert posted("send_days=&send_days=0&send_days=4", "send_days") == {"send_days": ["0", "4"]}
    assert posted("send_days=", "send_days") == {"send_days": []}


def test_a_token_is_no_member() -> None:
    assert posted("csrfmiddlewaretoken=x&seen=y&told=z&name=Caves") == {"name": "Caves"}


def test_what_was_typed_stays_and_its_problem_is_tied_to_it() -> None:
    form = forms.Form({"name": "<b>"}, [("name", "name can't be that")])
    html = rendered(form, '{% field form "name" "Name" hint="Short" %}')
    assert 'value="&lt;b&gt;"' in html
    assert 'aria-describedby="f-name-hint f-name-problem"' in html
    assert 'aria-invalid="true"' in html
    assert "name can&#x27;t be that" in html


def test_a_password_is_never_sent_back() -> None:
    form = forms.Form({"password": "secret"})
    assert "secret" not in rendered(form, '{% field form "password" "P" kind="password" %}')


def test_a_choice_that_was_made_is_chosen() -> None:
    html = rendered(forms.Form({"day": 1}), '{% field form "day" "Day" kind="select" choices=days %}')
    assert '<option value="1" selected>Tue</option>' in html
    html = rendered(forms.Form({"days": ["0"]}), '{% field form "days" "Days" kind="checkboxes" choices=days %}')
    assert 'value="0" checked' in html
    assert 'value="1" checked' not in html


def test_the_summary_leads_to_the_field_a_part_belongs_to() -> None:
    form = forms.Form({}, [("fields.city", "fields.city is too long"), (None, "Too many")])
    html = rendered(form, "{% problems form %}")
    assert 'href="#f-fields"' in html
    assert "Too many" in html
    assert form.problem("fields") == "fields.city is too long"


def test_a_refusal_of_a_verb_fills_a_form() -> None:
    request = RequestFactory().post("/", {"name": " "})
    try:
        read = Checked(forms.given(request), required=("name",))
        read.name("name")
        read.sound()
    except Invalid as refused:
        form = forms.refused(request, refused)
    assert form.values["name"] == " "
    assert form.problem("name") == "Name can't be blank"
