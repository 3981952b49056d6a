"""prefect-image.yaml: the deployments of prefect.yaml, for work pools in which each run starts from an image.

    python -m deployments.image_file    # writes prefect-image.yaml

The file is made from prefect.yaml, so that deployments, schedules, queues and parameters are the same.
"""

from blocks.project import HOME

IMAGE_FILE = "prefect-image.yaml"

HEADER = """\
# Made from prefect.yaml by `python -m deployments.image_file`: the same deployments for work pools of type docker, ecs
# or kubernetes, in which each run starts from the image that is built and pushed here (docs/environments.md).
#   RETAIL_SALES_IMAGE=registry.example.com/retail-sales make deploy
"""

ADDED = {
    """\
      script: sh deployments/version.sh
      stream_output: false
""": """\
  - prefect.deployments.steps.run_shell_script:
      id: built
      script: sh deployments/image.sh build

push:
  - prefect.deployments.steps.run_shell_script:
      id: image
      script: sh deployments/image.sh push
""",
    """\
    command: env python -m prefect.engine
""": """\
    image: "{{ image.stdout }}"
""",
}
"""What follows each of these texts of prefect.yaml."""


def image_file(project_file: str) -> str:
    """Returns prefect-image.yaml from the text of prefect.yaml. Raises ValueError when a text of ADDED is not there."""
    _, name, body = project_file.partition("name: ")
    for text, added in ADDED.items():
        if body.count(text) != 1:
            raise ValueError(f"prefect.yaml has {body.count(text)} times {text!r}, not once: correct ADDED")
        body = body.replace(text, text + added)
    return HEADER + name + body


if __name__ == "__main__":
    made = image_file((HOME / "prefect.yaml").read_text(encoding="utf-8"))
    (HOME / IMAGE_FILE).write_text(made, encoding="utf-8")
