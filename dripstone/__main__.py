from dripstone.ops.cli import main

if __name__ == "__main__":
    main()
