from celery.app.task import Task

from shredder.celery import TIMETABLE, app


def test_every_entry_of_the_timetable_is_a_task() -> None:
    app.loader.import_default_modules()
    assert set(TIMETABLE) - set(app.tasks) == set()


def test_tasks_queue_in_this_application_and_keep_no_results() -> None:
    assert Task.app.main == "shredder"
    assert app.conf.task_ignore_result
    assert list(app.conf.accept_content) == ["json"]
