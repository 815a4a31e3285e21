"""Templates of every kind, written for these tests."""

PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

TEMPLATES = {
    "chatml": (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
        "+ '<|im_end|>' + '\n' }}{% endfor %}" + PROMPT
    ),
    "chatml_marked": """
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}
        {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- else %}
        {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
""",
    "marked_in_lines": """{% for m in messages %}
{% if m.role == 'assistant' %}
A:
    {% generation %}
{{ m.content }}</s>
    {% endgeneration %}
{% else %}
{{ m.role | upper }}: {{ m.content | trim }}
{% endif %}
{% endfor %}""",
    "marked_tight": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} A: {%- generation -%}  "
        "{{ m.content }}{{ eos_token }}  {%- endgeneration -%}  {% else %}[{{ m.content }}]{% endif %}"
        "{% endfor %}"
    ),
    "headers": """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|' + message['role'] + '|>\n\n' + message['content'] | trim + '</s>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}
{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n\n' }}{% endif %}""",
    "instruct": """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- if message['role'] == 'user' %}
        {%- if loop.first and system is defined %}
            {{- '[INST] ' + system + '\n\n' + message['content'] + ' [/INST]' }}
        {%- else %}
            {{- '[INST] ' + message['content'] + ' [/INST]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}""",
    "drops_thinking": """{%- set ns = namespace(last=messages|length - 1, open=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.open and message.role == 'user' and message.content is string %}
        {%- set ns.open = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'assistant' %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\n' }}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}
            {{- content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}""",
    "prompts_thinking": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}"
        "{% elif m.role == 'assistant' %}<|assistant|>{{ m.content.split('</think>')[-1] }}"
        "{{ eos_token }}{% else %}{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
    ),
    "ends_with_eos": (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + "
        "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
        "{% else %}{{ eos_token }}{% endif %}"
    ),
    "tools": """{%- if tools %}
{{- '<|im_start|>system\n' }}
{%- for tool in tools %}{{- tool | tojson }}{{ '\n' }}{%- endfor %}
{{- tools[0].function.parameters | tojson(indent=4) }}
{{- tools[0] | tojson(ensure_ascii=True, sort_keys=true) }}
{{- tools[0].function.parameters.required | tojson(separators=(',', ':')) }}
{{- '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n' }}
{%- if message.content %}{{- message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
    {%- set call = call.function if call.function is defined else call %}
    {{- '<tool_call>' ~ call.name ~ ' ' ~ (call.arguments | tojson) }}
    {%- for key, value in call.arguments.items() %}{{- key ~ '=' }}{{ value }};{% endfor %}
    {%- for key, value in call.arguments | dictsort %}{{- key }}{% endfor %}
    {{- '</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}""",
    "macros": """{{- note | default('none') }}|{{ missing }}|{{ (messages | map(attribute='role') | list)[0] }}
{%- macro show(message, before='> ') -%}
    {%- if message.content is string -%}{{ before }}{{ message.content }}
    {%- elif message.content is iterable and message.content is not mapping -%}
        {%- for part in message.content if part.type == 'text' -%}{{ before }}{{ part['text'] }}{%- endfor -%}
    {%- elif message.content is none or message.content is not defined -%}nothing
    {%- endif -%}
{%- endmacro -%}
{%- for message in messages -%}
    {%- if message.role == 'developer' %}{% continue %}{% endif -%}
    {%- if loop.index > 10 %}{% break %}{% endif -%}
    {{ loop.index }} {{ message.role | capitalize }} {{ show(message, before='') }}{{ '</s>' }}
{%- endfor -%}
{%- if add_generation_prompt %}{{ messages | length + 1 }} Assistant {% endif %}""",
    "values": (
        "{{ strftime_now('%d %B %Y, %H:%M') }} {{ true }} {{ none }} {{ 1.0 }} {{ [1, 'a'] }} "
        "{{ note }} {{ (messages | selectattr('role', 'equalto', 'user') | list) | length }} "
        "{% for m in messages %}{{ '<|im_start|>%s\n' | format(m.role) }}{{ m.content | string }}"
        "{{ m.content.upper() if m.content is string else m.content | tojson }}"
        "{{ (m.content | string)[:3] }}{{ m.content in ['1', '2'] }}{{ '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    ),
    "raw_and_comments": (
        "{# {% generation %} is not meant here #}{% raw %}{{ no }}{% endraw %}{% for m in messages %}"
        "<{{ m.role }}>{{ m['content'] }}{{ '%}' }}{{- '\n' -}} {% endfor %}"
        "{%- if add_generation_prompt -%} <assistant> {%- endif %}"
    ),
    "refuses_system": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    ),
}
